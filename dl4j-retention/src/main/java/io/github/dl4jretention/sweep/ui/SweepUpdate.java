package io.github.dl4jretention.sweep.ui;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.deeplearning4j.core.storage.Persistable;

/** A sweep so far, as DL4J's StatsStorage keeps it. */
public final class SweepUpdate implements Persistable {

    /** Type of these updates in a StatsStorage. */
    public static final String TYPE = "RetentionSweep";

    private static final long serialVersionUID = 1L;
    private static final String WORKER = "sweep";

    /** Name of the sweep in the storage. */
    private String session;

    /** Milliseconds since 1970. */
    private long time;

    /** The sweep, as {@link SweepOutcome#toJson()} writes it. */
    private String json;

    /** For StatsStorage, which decodes into a new instance. */
    public SweepUpdate() {}

    SweepUpdate(String session, long time, SweepOutcome sweep) {
        this.session = session;
        this.time = time;
        this.json = sweep.toJson();
    }

    /** {@return the sweep as it was at the update's time} */
    public SweepOutcome sweep() {
        return SweepOutcome.fromJson(json);
    }

    @Override
    public String getSessionID() {
        return session;
    }

    @Override
    public String getTypeID() {
        return TYPE;
    }

    @Override
    public String getWorkerID() {
        return WORKER;
    }

    @Override
    public long getTimeStamp() {
        return time;
    }

    @Override
    public int encodingLengthBytes() {
        return encode().length;
    }

    @Override
    public byte[] encode() {
        byte[] name = session.getBytes(StandardCharsets.UTF_8);
        byte[] text = json.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(Long.BYTES + Integer.BYTES + name.length + text.length)
                .putLong(time)
                .putInt(name.length)
                .put(name)
                .put(text)
                .array();
    }

    @Override
    public void encode(ByteBuffer buffer) {
        buffer.put(encode());
    }

    @Override
    public void encode(OutputStream outputStream) throws IOException {
        outputStream.write(encode());
    }

    @Override
    public void decode(byte[] bytes) {
        decode(ByteBuffer.wrap(bytes));
    }

    @Override
    public void decode(ByteBuffer buffer) {
        time = buffer.getLong();
        byte[] name = new byte[buffer.getInt()];
        buffer.get(name);
        byte[] text = new byte[buffer.remaining()];
        buffer.get(text);
        session = new String(name, StandardCharsets.UTF_8);
        json = new String(text, StandardCharsets.UTF_8);
    }

    @Override
    public void decode(InputStream inputStream) throws IOException {
        decode(inputStream.readAllBytes());
    }
}
