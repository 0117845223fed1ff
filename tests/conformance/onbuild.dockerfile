FROM kilnonbuild:1
RUN ls /triggered > /listing
