// SPDX-License-Identifier: MIT
// Encodes values with a Layout as msgpack, and decodes them: the frames of codec.cpp, messages to runners,
// and the entries of the broker's journal. field.hpp has the rules by which records grow.
#pragma once

#include "common/wire/record_reader.hpp"
#include "common/wire/record_writer.hpp"
