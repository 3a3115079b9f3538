/* SwiftPM wants a source in every C target; this one is its header alone. */
#include "spunnel.h"
