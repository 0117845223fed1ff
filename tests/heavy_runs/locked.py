"""Processes that count together: a lock and shared memory are files in /dev/shm."""
import multiprocessing


def count(lock, total):
    for _ in range(500):
        with lock:
            total.value += 1


if __name__ == "__main__":
    lock, total = multiprocessing.Lock(), multiprocessing.Value("i", 0, lock=False)
    workers = [multiprocessing.Process(target=count, args=(lock, total)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with multiprocessing.Pool(3) as pool:
        print(total.value, sum(pool.map(abs, range(-10, 0))))
