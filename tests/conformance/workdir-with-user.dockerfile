FROM kilnbase:1
USER www
WORKDIR /owned/by/www
RUN touch me && id -un > who
USER 5:6
WORKDIR /owned/by/number
