FROM kilnbase:1
COPY plain.txt /var/log/new/dir/
COPY --chown=5:6 dir /var/log/copied
COPY dir/sub /var/log
WORKDIR /var/log/wd/deep
RUN mkdir /var/log/by-run
ADD plain.txt /var/log/added/
