FROM kilnbase:1
COPY plain.txt /
#: ignore plain.txt
#: fails
