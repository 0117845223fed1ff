FROM kilnbase:1
COPY ["with space.txt", "/spaced dir/"]
COPY ["plain.txt", "/j"]
