FROM kilnbase:1
COPY plain.txt /opt/
COPY plain.txt /opt/renamed.txt
COPY plain.txt /new/deep/dir/
COPY plain.txt /etc
