FROM kilnbase:1
COPY *.txt /g/
COPY dir/?.sh /g2/
COPY [a-m]*.txt nothing-like-this* /g3/
COPY dir*/sub/*.md /g4/
