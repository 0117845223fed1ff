FROM kilnbase:1
COPY dir /dest
COPY dir/ /dest2/
COPY dir/sub /existing
RUN mkdir -p /made && chmod 700 /made
COPY dir /made
