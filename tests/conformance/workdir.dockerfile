FROM kilnbase:1
WORKDIR /one
WORKDIR two
WORKDIR ../three/./four
RUN pwd > where
WORKDIR /
WORKDIR /var/./log/
COPY plain.txt rel/
WORKDIR /home/www
