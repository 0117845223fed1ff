ARG VARIANT=full
FROM --platform=$BULIDPLATFORM scratch AS one
FROM ${VARIANTE:-scratch} AS two
