package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.AtomicFile;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.deeplearning4j.util.ModelSerializer;

/** A model file that is written parameter by parameter, the same bytes each time. Every error names the file. */
final class FileSink implements ParameterSink<Path> {

    /** Of all entries; later than 1980, for which Java writes the time zone's offset too. */
    private static final LocalDateTime TIME = LocalDateTime.of(2000, 1, 1, 0, 0);

    private final Path out;
    private final ArrayStream coefficients;
    private final AtomicFile file;
    private final OutputStream stream;
    private final ZipOutputStream zip;
    private final DataOutputStream data;

    private interface Step {
        void run() throws IOException;
    }

    /** Writes up to the first parameter. */
    FileSink(Path out, String configuration, ArrayStream coefficients) throws IOException {
        this.out = out;
        this.coefficients = coefficients;
        file = new AtomicFile(out);
        try {
            stream = Files.newOutputStream(file.part());
        } catch (IOException e) {
            throw named(e);
        }
        zip = new ZipOutputStream(new BufferedOutputStream(stream));
        data = new DataOutputStream(zip);
        try {
            run(() -> begin(configuration));
        } catch (IOException | RuntimeException e) {
            close();
            throw e;
        }
    }

    private void begin(String configuration) throws IOException {
        zip.putNextEntry(entry(ModelSerializer.CONFIGURATION_JSON));
        zip.write(configuration.getBytes(StandardCharsets.UTF_8));
        zip.closeEntry();
        zip.putNextEntry(entry(ModelSerializer.COEFFICIENTS_BIN));
        coefficients.writeHead(data);
    }

    private static ZipEntry entry(String name) {
        ZipEntry entry = new ZipEntry(name);
        entry.setTimeLocal(TIME);
        return entry;
    }

    private void run(Step step) throws IOException {
        try {
            step.run();
        } catch (IOException e) {
            throw named(e);
        }
    }

    private IOException named(IOException cause) {
        return new IOException("file: could not be written: " + out + ": " + cause.getMessage(), cause);
    }

    @Override
    public void write(double[] values) throws IOException {
        run(() -> coefficients.write(data, values));
    }

    @Override
    public Path finish() throws IOException {
        run(() -> {
            zip.closeEntry();
            zip.close();
            file.commit();
        });
        return out;
    }

    /** A zip whose rest cannot be written does not close its stream. */
    @Override
    public void close() throws IOException {
        try (file;
                stream) {
            zip.close();
        }
    }
}
