FROM kilnbase:1
RUN mkdir -m 777 /u
USER www
RUN id > /u/name
USER 1000
RUN id > /u/number
USER 1000:50
RUN id > /u/pair
USER www:staff
RUN id > /u/names
USER 4242
RUN id > /u/unknown-number
USER root
RUN id > /u/root
