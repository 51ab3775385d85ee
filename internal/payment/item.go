package payment

const AttributeSessionID = "session_id"
const AttributeTransactionID = "transaction_id"
