"""The models by what theory has to say of them: who shares a core with whom, and who waits for whom."""

READINESS = ("select_loop", "poll_loop", "epoll_loop")
ASYNCIO = ("asyncio_streams", "asyncio_protocol", "asyncio_uvloop")
LOOPS = (*READINESS, *ASYNCIO, "gevent_greenlets", "trio_nursery")  # everything runs in one thread, in turns
LOOPS_FORKED = ("prefork_epoll", "gevent_prefork")  # with one core there is one of each: a loop, and a parent that sleeps
THREADS = ("thread_per_connection", "thread_pool")  # one lock, and the kernel chooses who asks for it
THREADS_FORKED = ("prefork_threads",)
THREADS_BEHIND_A_LOOP = ("asyncio_threads",)
PROCESSES = ("prefork", "fork_per_connection")  # nothing is shared, and the kernel chooses who runs
