FROM scratch
COPY app hidden.txt /srv/
ADD ./hidden /srv/
