FROM --platform=${TARGETPLATFORM} scratch
COPY app /
