FROM kilnbase:1
RUN echo 1.2.3.4 name >> /etc/hosts; echo more >> /etc/resolv.conf; true
RUN touch /dev/in-dev; mkdir -p /dev/shm/x; touch /dev/shm/file; true
RUN test -e /proc/self/status && test -c /dev/null && test -d /sys/class && test -w /dev/shm && echo fine > /fine
RUN mkdir -p /run/lock && echo run > /run/file
