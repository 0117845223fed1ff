# escape=`
FROM kilnbase:1
ENV WIN="C:\dir `
 more" TICK=a`$b`"c
RUN echo one `
 two > /esc
COPY plain.txt /back\slash`
.txt
WORKDIR /w`$x
