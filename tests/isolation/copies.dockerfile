# COPY and ADD between RUNs.
FROM mixed:1
WORKDIR /made/here
COPY tree/ .
RUN mv sub/two sub/three && echo added >> one
COPY --chown=app:more tree/sub /owned/
COPY --chmod=600 tree/one /private
ADD archive.tar /unpacked/
RUN cat /owned/two /private > /all && rm /unpacked/packed
COPY tree/one tree/sub/two /gone/
