FROM kilnbase:1
COPY plain.txt dir zebra.txt /many/
COPY dir dir2 /merged/
COPY plain.txt plain.txt /twice/
COPY dir/sub/*.* dir2/sub/*.* /globs/
