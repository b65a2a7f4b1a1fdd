# cmake -DOUTPUT=… -DFILES=… -P digest.cmake: a header with CVM_GENERATOR_DIGEST, made from the bytes of
# the files (separated by |), so that objects which other generators made are not taken from the cache.
string(REPLACE "|" ";" FILES "${FILES}")
set(DIGESTS "")
foreach(NAME IN LISTS FILES)
  file(SHA256 ${NAME} DIGEST)
  string(APPEND DIGESTS ${DIGEST})
endforeach()
string(SHA256 DIGEST "${DIGESTS}")
string(SUBSTRING ${DIGEST} 0 16 DIGEST)
file(WRITE ${OUTPUT} "#define CVM_GENERATOR_DIGEST \"${DIGEST}\"\n")
