# Puts the plugin's commands first in the path of login shells.
PATH=@prefix@/bin:$PATH
