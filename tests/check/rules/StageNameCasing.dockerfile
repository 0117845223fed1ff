FROM scratch AS Base
COPY app /

FROM base
