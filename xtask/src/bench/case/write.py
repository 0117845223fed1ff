"""Writes 20,000 files, 500 MB together: half of it text, half of it not, the same each time."""

import os
import random
import struct
import sys

FILES, PER_DIRECTORY, CORPUS = 20_000, 100, 4_000_000
SIZES = [1_000, 4_000, 10_000, 20_000, 90_000]

root, chance = sys.argv[1], random.Random(1)
vocabulary = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(3000)]
words = chance.choices(vocabulary, weights=[1 / (n + 1) for n in range(3000)], k=CORPUS // 5)
text = " ".join(words).encode()
numbers = b"".join(struct.pack("<IHH", n, chance.getrandbits(16), n % 7) for n in range(CORPUS // 8))

for number in range(FILES):
    size = SIZES[number % len(SIZES)]
    # By turns: text, text, numbers as programs and databases have them, and what does not compress.
    kind = number // len(SIZES) % 4
    if kind == 3:
        content = chance.randbytes(size)
    else:
        source = numbers if kind == 2 else text
        start = chance.randrange(len(source) - size)
        content = source[start : start + size]
    directory = os.path.join(root, f"d{number // PER_DIRECTORY:03}")
    if number % PER_DIRECTORY == 0:
        os.makedirs(directory)
    with open(os.path.join(directory, f"f{number:05}"), "wb") as file:
        file.write(content)
