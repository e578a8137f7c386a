// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "config.hpp"
#include "temporary_folder.hpp"

using namespace flowkin;

namespace {

std::string error_of(const std::filesystem::path& file) {
    const auto config = load_config(file);
    if (config) {
        return "no error";
    }
    CHECK(config.error().fault == Fault::configuration);
    return config.error().text;
}

bool is_root() {
    return ::geteuid() == 0;
}

/// Calls `loads` as user 65534, and answers whether it was true there.
template <class Check>
bool true_for_nobody(Check loads) {
    const pid_t child = ::fork();
    if (child == 0) {
        const bool good = ::setgid(65534) == 0 && ::setuid(65534) == 0 && loads();
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a configuration is loaded from its file, then overridden") {
    const TemporaryFolder folder;
    const auto file = folder.write("c.toml", "[output]\nupdates = \"none\"\nrotate_keep = 4");
    const std::vector<std::string> overrides = {"output.updates=all"};
    const auto config = load_config(file, overrides);
    REQUIRE(config);
    CHECK(config->output.updates == Updates::all);
    CHECK(config->output.rotate_keep == 4);
}

TEST_CASE("an error in the file names it as it was given") {
    const TemporaryFolder folder;
    const auto file = folder.write("c.toml", "x = 1");
    CHECK(error_of(file).starts_with(file.string() + ":1:1: x: unknown key"));
}

TEST_CASE("a file that was named must be there") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "none.toml";
    CHECK(error_of(file) == file.string() + ": no such file");
    CHECK(error_of(file / "below") == file.string() + "/below: no such file");
}

TEST_CASE("a link to a good file is as good as the file") {
    const TemporaryFolder folder;
    const auto file = folder.write("c.toml", "log.level = \"error\"");
    std::filesystem::create_symlink(file, folder.path() / "link.toml");
    CHECK(error_of(folder.path() / "link.toml") == "no error");
}

TEST_CASE("what is not a regular file is refused, and not waited for") {
    const TemporaryFolder folder;
    CHECK(error_of(folder.path()) == folder.path().string() + ": not a regular file");
    const auto fifo = folder.path() / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(error_of(fifo) == fifo.string() + ": not a regular file");
    CHECK(error_of("/dev/null") == "/dev/null: not a regular file");
}

TEST_CASE("a file is at most 1 MiB") {
    const TemporaryFolder folder;
    const std::string line = "# " + std::string(61, 'x') + "\n";
    std::string text;
    while (text.size() < std::size_t{1} << 20U) {
        text += line;
    }
    REQUIRE(text.size() == std::size_t{1} << 20U);
    CHECK(error_of(folder.write("full.toml", text)) == "no error");
    const auto large = folder.write("large.toml", text + "#");
    CHECK(error_of(large) == large.string() + ": larger than 1MiB");
}

TEST_CASE("root refuses a file that others may write, and says what mends it") {
    if (!is_root()) {
        WARN("SKIP: not root");
        return;
    }
    const TemporaryFolder folder;
    const auto file = folder.write("c.toml", "", 0664);
    const std::string refusal = file.string() +
                                ": may be written by others than its owner; mend it with: chmod go-w " +
                                file.string();
    CHECK(error_of(file) == refusal);
    REQUIRE(::chmod(file.c_str(), 0602) == 0);
    CHECK(error_of(file) == refusal);
    REQUIRE(::chmod(file.c_str(), 0644) == 0);
    CHECK(error_of(file) == "no error");
}

TEST_CASE("root refuses a file of another user, and says what mends it") {
    if (!is_root()) {
        WARN("SKIP: not root");
        return;
    }
    const TemporaryFolder folder;
    const auto file = folder.write("c.toml", "");
    REQUIRE(::chown(file.c_str(), 65534, 65534) == 0);
    CHECK(error_of(file) ==
          file.string() + ": belongs to user 65534; mend it with: chown root " + file.string());
}

TEST_CASE("who is not root may run by any file that they can read") {
    if (!is_root()) {
        WARN("SKIP: not root");
        return;
    }
    const TemporaryFolder folder;
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    const auto open_file = folder.write("open.toml", "", 0666);
    const auto secret_file = folder.write("secret.toml", "", 0600);
    CHECK(true_for_nobody([&] { return load_config(open_file).has_value(); }));
    CHECK(true_for_nobody([&] {
        const auto config = load_config(secret_file);
        return !config && config.error().text == secret_file.string() + ": Permission denied";
    }));
}
