FROM scratch
EXPOSE 53/udp 53/TCP
