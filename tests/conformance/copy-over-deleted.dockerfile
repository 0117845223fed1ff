FROM kilnbase:1
RUN rm -r /existing /usr/share/moved && rm /etc/base.conf
COPY dir /existing
COPY plain.txt /etc/base.conf
RUN mkdir /usr/share/moved
COPY plain.txt /usr/share/moved/
