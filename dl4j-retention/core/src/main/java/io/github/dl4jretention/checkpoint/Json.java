package io.github.dl4jretention.checkpoint;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.shade.jackson.core.JsonProcessingException;

/** Records as JSON in files. */
final class Json {

    private Json() {}

    static String write(Object record) {
        try {
            return NeuralNetConfiguration.mapper().writeValueAsString(record);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(record.getClass().getSimpleName() + " cannot be written as JSON", e);
        }
    }

    /**
     * @param file that the bytes are from, for the message
     * @throws IOException if they are no JSON of such a record
     */
    static <T> T read(byte[] json, Class<T> type, Path file) throws IOException {
        try {
            T record = NeuralNetConfiguration.mapper().readValue(new String(json, StandardCharsets.UTF_8), type);
            if (record != null) {
                return record;
            }
        } catch (JsonProcessingException e) {
            throw new IOException(message(type, file) + e.getOriginalMessage(), e);
        }
        throw new IOException(message(type, file) + "null");
    }

    private static String message(Class<?> type, Path file) {
        return "file " + file + ": damaged: expected JSON of a " + type.getSimpleName() + ", got ";
    }
}
