/* SwiftPM needs a source file in every C target; this target is only a header. */
#include "spunnel.h"
