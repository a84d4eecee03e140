package io.github.dl4jretention.tasks.file;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** Records of csv, json and jsonl files, gzipped or not, one after another, each with its line. */
public final class RecordFile {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private RecordFile() {}

    /**
     * Takes a record.
     *
     * @param <T> what it is
     */
    @FunctionalInterface
    public interface Taker<T> {

        /**
         * {@return whether more are wanted}
         *
         * @param place  file and line
         * @param record at it
         * @throws IOException if it doesn't fit
         */
        boolean take(String place, T record) throws IOException;
    }

    /** A folder's files, those of its folders too, by name. */
    static List<Path> files(Path file) throws IOException {
        if (!Files.isDirectory(file)) {
            return List.of(file);
        }
        try (Stream<Path> all = Files.walk(file)) {
            return all.filter(path -> Files.isRegularFile(path)
                            && !String.valueOf(path.getFileName()).startsWith("."))
                    .sorted()
                    .toList();
        }
    }

    private static InputStream open(Path file) throws IOException {
        InputStream stream = new BufferedInputStream(Files.newInputStream(file), 1 << 16);
        try {
            return file.toString().endsWith(".gz") ? new GZIPInputStream(stream, 1 << 16) : stream;
        } catch (IOException e) {
            stream.close();
            throw new IOException(file + ":1: expected a gzip file, got " + e.getMessage(), e);
        }
    }

    static String text(Path file) throws IOException {
        try (InputStream stream = open(file)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    static void csv(Path file, Taker<List<String>> taker) throws IOException {
        try (CSVParser parser = CSVFormat.DEFAULT
                .builder()
                .setIgnoreEmptyLines(true)
                .build()
                .parse(new InputStreamReader(open(file), StandardCharsets.UTF_8))) {
            boolean more = true;
            long line = 1;
            for (var records = parser.iterator(); more && records.hasNext(); ) {
                CSVRecord row = records.next();
                more = taker.take(file + ":" + line, row.toList());
                line = parser.getCurrentLineNumber() + 1;
            }
        } catch (UncheckedIOException | IllegalStateException e) {
            throw new IOException(file + ": expected csv, got " + e.getMessage(), e);
        }
    }

    /**
     * Reads the objects of a file: of jsonl, of an array, or one alone.
     *
     * @param file  to read
     * @param array name of the array of the file's object that holds the records; empty for none
     * @param taker of the records
     * @throws IOException if it can't be read; the message names the file and the line
     */
    public static void json(Path file, String array, Taker<JsonNode> taker) throws IOException {
        try (InputStream stream = open(file);
                JsonParser parser = MAPPER.getFactory().createParser(stream)) {
            boolean more = true;
            boolean inside = false;
            for (JsonToken token = parser.nextToken(); more && token != null; token = parser.nextToken()) {
                int line = parser.getTokenLocation().getLineNr();
                if (token == JsonToken.START_ARRAY && !inside) {
                    inside = true;
                } else if (token == JsonToken.END_ARRAY && inside) {
                    inside = false;
                } else if (token != JsonToken.START_OBJECT) {
                    throw new IOException(file + ":" + line + ": expected an object, got " + parser.getText());
                } else if (!inside && !array.isEmpty()) {
                    inside = enter(parser, file, array);
                    more = inside;
                } else {
                    more = taker.take(file + ":" + line, parser.readValueAsTree());
                }
                if (!array.isEmpty() && !inside) {
                    return;
                }
            }
        } catch (JsonProcessingException e) {
            int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
            throw new IOException(file + ":" + line + ": expected JSON, got " + e.getOriginalMessage(), e);
        }
    }

    /** Goes into an object's array. */
    private static boolean enter(JsonParser parser, Path file, String array) throws IOException {
        int line = parser.getTokenLocation().getLineNr();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.getCurrentName();
            JsonToken value = parser.nextToken();
            if (name.equals(array) && value == JsonToken.START_ARRAY) {
                return true;
            }
            parser.skipChildren();
        }
        throw new IOException(file + ":" + line + ": " + array + ": expected an array, got none");
    }
}
