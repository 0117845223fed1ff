FROM kilnbase:1
COPY dir /etc/passwd
#: fails
