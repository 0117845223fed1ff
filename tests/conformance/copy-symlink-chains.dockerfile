FROM kilnbase:1
COPY chain1 /chain
COPY chain1/one.md /through
COPY linkdir/sub/two.txt /through2
COPY links/f* links/dir /links/
