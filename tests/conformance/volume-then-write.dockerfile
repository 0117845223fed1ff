FROM kilnbase:1
VOLUME /data /existing
COPY plain.txt /data/copied
RUN echo run > /data/run && rm /existing/kept
WORKDIR /data/wd
VOLUME $nosuch/expanded
