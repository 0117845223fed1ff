FROM kilnbase:1
COPY plain.txt /tmp/in-tmp
COPY plain.txt /root/in-root
COPY plain.txt /home/www/in-home
COPY dir /var/empty/new
