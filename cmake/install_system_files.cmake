# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by `cmake --install`: the files that depend on where flowkin is installed. CMAKE_INSTALL_PREFIX is what --prefix says,
# and file(INSTALL) puts DESTDIR before it.

# Below /usr there is no etc: that of the system is meant.
if(CMAKE_INSTALL_PREFIX MATCHES "^/(usr/?)?$")
    set(etc /etc)
else()
    set(etc ${CMAKE_INSTALL_PREFIX}/etc)
endif()
cmake_path(SET sbin NORMALIZE ${CMAKE_INSTALL_PREFIX}/sbin)
cmake_path(SET units NORMALIZE ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)

# The operator's configuration stays as it is; the new default is among the examples.
set(config ${etc}/flowkin/flowkin.toml)
if(EXISTS $ENV{DESTDIR}${config})
    message(STATUS "Kept: $ENV{DESTDIR}${config}")
else()
    file(INSTALL ${FLOWKIN_SOURCE_DIR}/config/flowkin.toml DESTINATION ${etc}/flowkin)
endif()

# The unit is written for /usr.
file(READ ${FLOWKIN_SOURCE_DIR}/systemd/flowkin.service unit)
string(REPLACE "/usr/sbin/flowkin" "${sbin}/flowkin" unit "${unit}")
string(REPLACE "/etc/flowkin/flowkin.toml" "${config}" unit "${unit}")
file(WRITE ${FLOWKIN_BINARY_DIR}/flowkin.service "${unit}")
file(INSTALL ${FLOWKIN_BINARY_DIR}/flowkin.service DESTINATION ${units})
