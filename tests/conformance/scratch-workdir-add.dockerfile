FROM scratch
WORKDIR /srv/app
ADD archive.tar.gz .
COPY --chown=1:2 plain.txt data/
USER 3:4
WORKDIR mine
ENV PATH=/only
