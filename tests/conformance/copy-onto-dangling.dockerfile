FROM kilnbase:1
RUN ln -s /missing /dangling && ln -s /not/there /dir-dangling
COPY plain.txt /dir-dangling/
COPY dir/sub /dangling
