// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <exception>
#include <utility>

namespace flowkin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using std::chrono::seconds;

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t connections_limit = 16;
constexpr std::size_t request_bytes_limit = 8192;
constexpr std::size_t first_read_bytes = 1024;
constexpr seconds idle_limit{120};  // longer than anybody waits between two scrapes
constexpr seconds exchange_limit{5};
constexpr seconds accept_pause{1};

using Response = http::response<http::string_body>;

Response answer(http::status status, unsigned version, bool keep_alive, std::string_view type,
                std::string body, bool with_body) {
    Response response(status, version);
    response.set(http::field::content_type, type);
    response.keep_alive(keep_alive);
    response.content_length(body.size());
    if (with_body) {
        response.body() = std::move(body);
    }
    return response;
}

}  // namespace

MetricsServer::MetricsServer(asio::io_context& io, ListeningSocket socket, std::function<std::string()> page)
    : io_(io),
      socket_(std::move(socket)),
      page_(std::move(page)),
      acceptor_(io, Protocol(socket_.family(), 0), socket_.fd()),
      pause_(io) {
    socket_.release();
}

void MetricsServer::start() {
    asio::co_spawn(io_, accept(), [](const std::exception_ptr& failure) {
        if (failure) {
            std::rethrow_exception(failure);
        }
    });
}

asio::awaitable<void> MetricsServer::accept() {
    while (true) {
        auto [failed, socket] = co_await acceptor_.async_accept(quietly);
        if (failed == asio::error::operation_aborted) {
            co_return;
        }
        if (failed) {  // no descriptor is free: to try at once would be to spin
            pause_.expires_after(accept_pause);
            co_await pause_.async_wait(quietly);
            continue;
        }
        if (connections_ == connections_limit) {
            continue;  // the socket closes here
        }
        ++connections_;
        asio::co_spawn(io_, serve(Stream(std::move(socket))), [this](const std::exception_ptr& failure) {
            --connections_;
            if (failure) {
                std::rethrow_exception(failure);
            }
        });
    }
}

asio::awaitable<void> MetricsServer::serve(Stream stream) {
    beast::flat_buffer received(request_bytes_limit);
    bool keep_alive = true;
    while (keep_alive) {
        if (received.size() == 0) {
            stream.expires_after(idle_limit);
            const auto [failed, bytes] =
                co_await stream.async_read_some(received.prepare(first_read_bytes), quietly);
            if (failed) {
                co_return;
            }
            received.commit(bytes);
        }
        stream.expires_after(exchange_limit);
        http::request_parser<http::empty_body> parser;
        parser.header_limit(request_bytes_limit);
        const auto [refused, read_bytes] = co_await http::async_read(stream, received, parser, quietly);
        if (refused == beast::error::timeout || refused == http::error::end_of_stream ||
            refused == http::error::partial_message) {
            co_return;
        }
        const auto& request = parser.get();
        keep_alive = !refused && request.keep_alive();
        const bool wants_body = refused || request.method() != http::verb::head;
        const auto say = [&](http::status status, std::string text) {
            return answer(status, request.version(), keep_alive, "text/plain; charset=utf-8", std::move(text),
                          wants_body);
        };
        Response response;
        if (refused) {
            response = say(http::status::bad_request, "not an HTTP request that is understood here\n");
        } else if (request.method() != http::verb::get && request.method() != http::verb::head) {
            response = say(http::status::method_not_allowed, "only GET and HEAD\n");
            response.set(http::field::allow, "GET, HEAD");
        } else if (request.target() == "/metrics") {
            response = answer(http::status::ok, request.version(), keep_alive,
                              "text/plain; version=0.0.4; charset=utf-8", page_(), wants_body);
        } else {
            response = say(http::status::not_found, "the metrics are at /metrics\n");
        }
        const auto [unread, written_bytes] = co_await http::async_write(stream, response, quietly);
        if (unread) {
            co_return;
        }
    }
    beast::error_code ignored;
    stream.socket().shutdown(Protocol::socket::shutdown_send, ignored);
}

}  // namespace flowkin
