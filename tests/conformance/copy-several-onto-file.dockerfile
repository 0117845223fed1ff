FROM kilnbase:1
COPY plain.txt zebra.txt /one
