package io.github.dl4jretention.listener;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.deeplearning4j.core.storage.Persistable;

/**
 * A {@link RetentionReport} as an update of DL4J's StatsStorage. A page of the UI server finds them by their type:
 *
 * <pre>{@code
 * for (Persistable update : storage.getAllUpdatesAfter(session, PersistableReport.TYPE_ID, time)) {
 *     RetentionReport report = ((PersistableReport) update).getReport();
 * }
 * }</pre>
 *
 * <p>Encoded as a version byte and the fields in the order of {@link RetentionReport}, by a DataOutputStream.
 */
public final class PersistableReport implements Persistable {

    /** The type of these updates. */
    public static final String TYPE_ID = "RetentionReport";

    private static final long serialVersionUID = 1L;
    private static final int VERSION = 1;

    /** As given; null before decoding. */
    private String sessionId;

    /** As given; null before decoding. */
    private String workerId;

    /** In milliseconds since 1970. */
    private long timeStamp;

    /** As given; null before decoding. */
    private RetentionReport report;

    /** Empty, to be decoded. */
    public PersistableReport() {}

    /**
     * @param sessionId of the training run, not null
     * @param workerId  of one of several that train at once, not null
     * @param timeStamp in milliseconds since 1970
     * @param report    not null
     */
    public PersistableReport(String sessionId, String workerId, long timeStamp, RetentionReport report) {
        this.sessionId = Objects.requireNonNull(sessionId, "sessionId");
        this.workerId = Objects.requireNonNull(workerId, "workerId");
        this.timeStamp = timeStamp;
        this.report = Objects.requireNonNull(report, "report");
    }

    /** {@return the report; null before decoding} */
    public RetentionReport getReport() {
        return report;
    }

    @Override
    public String getSessionID() {
        return sessionId;
    }

    @Override
    public String getTypeID() {
        return TYPE_ID;
    }

    @Override
    public String getWorkerID() {
        return workerId;
    }

    @Override
    public long getTimeStamp() {
        return timeStamp;
    }

    @Override
    public int encodingLengthBytes() {
        return encode().length;
    }

    @Override
    public byte[] encode() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            encode(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException("an array takes all bytes", e);
        }
        return bytes.toByteArray();
    }

    @Override
    public void encode(ByteBuffer buffer) {
        buffer.put(encode());
    }

    @Override
    public void encode(OutputStream stream) throws IOException {
        DataOutputStream out = new DataOutputStream(stream);
        out.writeByte(VERSION);
        out.writeUTF(sessionId);
        out.writeUTF(workerId);
        out.writeLong(timeStamp);
        out.writeInt(report.iteration());
        out.writeInt(report.epoch());
        out.writeUTF(report.output());
        out.writeDouble(report.tokens());
        out.writeDouble(report.crossEntropy());
        out.writeDouble(report.divergence());
        out.writeDouble(report.coefficient());
        out.writeDouble(report.total());
        out.writeDouble(report.agreement());
        out.writeDouble(report.gradientNorm());
        out.flush();
    }

    /** @throws IllegalArgumentException if the bytes are no report of this version */
    @Override
    public void decode(byte[] bytes) {
        try {
            decode(new ByteArrayInputStream(bytes));
        } catch (IOException e) {
            throw new IllegalArgumentException("bytes: expected an encoded report, got " + bytes.length + " bytes", e);
        }
    }

    @Override
    public void decode(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        decode(bytes);
    }

    /** @throws IOException if the stream does not hold a report of this version */
    @Override
    public void decode(InputStream stream) throws IOException {
        DataInputStream in = new DataInputStream(stream);
        int version = in.readByte();
        if (version != VERSION) {
            throw new IOException("stream: expected a report of version " + VERSION + ", got " + version);
        }
        sessionId = in.readUTF();
        workerId = in.readUTF();
        timeStamp = in.readLong();
        report = new RetentionReport(
                in.readInt(),
                in.readInt(),
                in.readUTF(),
                in.readDouble(),
                in.readDouble(),
                in.readDouble(),
                in.readDouble(),
                in.readDouble(),
                in.readDouble(),
                in.readDouble());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PersistableReport that
                && timeStamp == that.timeStamp
                && Objects.equals(sessionId, that.sessionId)
                && Objects.equals(workerId, that.workerId)
                && Objects.equals(report, that.report);
    }

    @Override
    public int hashCode() {
        return Objects.hash(sessionId, workerId, timeStamp, report);
    }
}
