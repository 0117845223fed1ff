FROM kilnbase:1
CMD [ "a b" , "c\"d" , "\u00e9" , "" , "$HOME" ]
ENTRYPOINT ["one"
SHELL ["/bin/sh", "-c"]
