FROM kilnbase:1
ADD plain.txt dir /n/
ADD fake.tar /n/
ADD notar.gz /n/
