FROM kilnbase:1
RUN echo data > /h1 && ln /h1 /h2 && ln /h1 /usr/h3 && ln -s /nowhere /dangling
RUN echo x > /suid && chown 1:2 /suid && chmod 6755 /suid && mkdir -m 1777 /sticky && mkfifo -m 622 /fifo
RUN mknod /node c 1 3 && chmod 640 /node
RUN chown 2100000:2200000 /h1 && chmod 4750 /bin/helper
