/* Prints the events of a bus: cc events.c -lzmq -lmsgpackc -o events && ./events tcp://127.0.0.1:5577 event/ */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

static const msgpack_object *field(const msgpack_object *map, const char *name) {
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *one = &map->via.map.ptr[i];
        if (one->key.via.str.size == strlen(name) && !memcmp(one->key.via.str.ptr, name, strlen(name)))
            return &one->val;
    }
    return NULL;
}

int main(int argc, char **argv) {
    void *socket = zmq_socket(zmq_ctx_new(), ZMQ_SUB);
    if (argc != 3 || zmq_connect(socket, argv[1]) != 0) return 2;
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, argv[2], strlen(argv[2]));
    for (;;) {
        zmq_msg_t topic, header;
        zmq_msg_init(&topic);
        zmq_msg_init(&header);
        if (zmq_msg_recv(&topic, socket, 0) < 0 || zmq_msg_recv(&header, socket, 0) < 0) return 1;
        msgpack_unpacked message;
        msgpack_unpacked_init(&message);
        if (msgpack_unpack_next(&message, zmq_msg_data(&header), zmq_msg_size(&header), NULL) > 0 &&
            message.data.type == MSGPACK_OBJECT_MAP) {
            const msgpack_object *v = field(&message.data, "v"), *kind = field(&message.data, "kind");
            if (v && v->via.u64 == 1 && kind) {
                msgpack_object_print(stdout, *kind);
                printf(" ");
                msgpack_object_print(stdout, *field(&message.data, "data"));
                printf("\n");
                fflush(stdout);
            }
        }
        msgpack_unpacked_destroy(&message);
        zmq_msg_close(&topic);
        zmq_msg_close(&header);
    }
}
