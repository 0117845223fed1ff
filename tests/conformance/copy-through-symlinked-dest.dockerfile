FROM kilnbase:1
RUN mkdir -p /real/target && ln -s /real/target /alias && ln -s ../real /rel-alias-base && ln -s real /rel
COPY plain.txt /alias/
COPY dir /rel/target/more
COPY plain.txt /lib/from-copy
