# Many files, a long name, a large file, one with holes, and the same size with other content.
FROM mixed:1
RUN mkdir /many && cd /many && for i in $(seq 400); do echo $i > file-$i; done
RUN cd /many && rm file-1* && for i in 2 3 4; do echo x > file-$i; done
RUN long=$(printf "%0120d" 0) && mkdir /$long && echo long > /$long/$long
RUN yes "0123456789" | head -c 3000000 > /large && dd if=/dev/zero of=/holes bs=1 count=1 seek=2000000 2> /dev/null
RUN printf ab > /same && printf cd > /srv/same
RUN printf ef > /srv/same
