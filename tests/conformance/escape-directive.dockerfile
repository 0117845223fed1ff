# escape=`
FROM kilnbase:1
ENV WIN=C:\dir`
 more
RUN echo one `
 two > /esc
COPY plain.txt /back\slash`
.txt
